/** The public API of Moebius in a page: nothing below it imports a module of Node's. */

// The machine: the browser's adapter, shaders that came with the page, files by `fetch`.
export { webPlatform, type WebOptions } from './platform/web/web.ts';

export * from './portable.ts';
