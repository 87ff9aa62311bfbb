/** `text` in at most `maxChars` UTF-16 units: what is longer ends with …. */
export function cutText(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${text.slice(0, maxChars - 1)}…`;
}
