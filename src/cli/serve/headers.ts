/** What every answer of the page's server says: only its own scripts run, and they talk to nobody else. */

const POLICY = {
  ...{ 'default-src': "'none'", 'script-src': "'self'", 'worker-src': "'self'", 'connect-src': "'self'" },
  ...{ 'style-src': "'self'", 'img-src': "'self'", 'base-uri': "'none'", 'form-action': "'none'" },
  ...{ 'frame-ancestors': "'none'", 'require-trusted-types-for': "'script'", 'trusted-types': 'moebius' },
} as const;

/** By name. Nothing isolates the page's windows, or Perfetto's could not be handed a trace. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': Object.entries(POLICY)
    .map((pair) => pair.join(' '))
    .join('; '),
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};
