/** The HTML of Markdown texts, cached by the text. Long texts are rendered in a thread of their own. */
import { setImmediate as nextTick } from 'node:timers/promises';
import { ROW_TTL_MS } from '../../db/sources.js';
import type { Cache } from '../../engine/cache/index.js';
import type { Context } from '../../graphql/context.js';
import { COSTS } from '../../graphql/limits.js';
import { MAX_HTML_CHARS, renderMarkdown } from './render.js';
import type { RenderThread } from './render-thread.js';

/** Characters that are rendered at once: up to 50 ms for the slowest texts. 64 Ki characters take up to 0.5 s. */
const MAX_CHARS_HERE = 8 * 1024;
/** In JSON, where some characters take two. */
const MAX_STORED_CHARS = 2 * MAX_HTML_CHARS;

/** The HTML of a text that the viewer may see. Charges for its length. @throws RATE_LIMITED */
export type MarkdownHtml = (context: Context, text: string) => Promise<string>;

export function markdownHtml(cache: Pick<Cache, 'memoize'>, thread: Pick<RenderThread, 'render'>): MarkdownHtml {
  const rendered = cache.memoize(
    'MarkdownHtml',
    async (text: string) => {
      if (text.length > MAX_CHARS_HERE) return thread.render(text);
      await nextTick(); // between texts the process serves other requests
      return renderMarkdown(text);
    },
    { ttlMs: ROW_TTL_MS, maxChars: MAX_STORED_CHARS, version: 2 },
  );
  return async (context, text) => {
    const points = Math.floor(text.length * COSTS.renderedChar);
    if (points > 0) await context.charge?.(points);
    return rendered(text);
  };
}
