/** What the build puts in. */
declare const __MOEBIUS_VERSION__: string;

declare module 'virtual:report.css';
