/** The one policy of Trusted Types: addresses of our own scripts may be run, nothing else. */

interface Policies {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}

const { trustedTypes } = globalThis as { readonly trustedTypes?: Policies };

const rules = {
  createScriptURL: (url: string): string => {
    const { origin, href } = new URL(url, document.baseURI);
    if (origin !== location.origin) throw new Error(`${href} is not of this page.`);
    return href;
  },
};
const policy = trustedTypes?.createPolicy('moebius', rules) ?? rules;

/** Of a script of this page's own server. Browsers with Trusted Types give an object that only looks like a text. */
export function ownScript(url: string): string {
  return policy.createScriptURL(url);
}
