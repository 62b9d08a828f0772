/** What the build puts in. */
declare const __MOEBIUS_VERSION__: string;
/** False while the page is written, by npm run web. */
declare const __MOEBIUS_BUILT__: boolean;

declare module 'virtual:report.css';
