/** Words in XML, as a text or the value of an attribute. */
const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** xmlText('a<b') = 'a&lt;b'. Control characters, which are no XML at all, become '?'. */
export function xmlText(words: string): string {
  return words
    .replace(/[&<>"]/g, (char) => ENTITIES[char] ?? char)
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/g, '?');
}
