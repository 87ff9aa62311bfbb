/** Handles made from texts that are none: names and addresses of other systems. */
import { toLine, truncated } from '../../std/text.js';

/** @returns the text without what a handle cannot contain; empty if it has no visible characters */
export function handleFrom(text: string, maxChars: number): string {
  const line = toLine(text.replaceAll(/\p{Default_Ignorable_Code_Point}/gu, ''), text.length);
  return truncated(line.replaceAll(/[\s\p{C}\p{Z}]+/gu, '-'), maxChars);
}
