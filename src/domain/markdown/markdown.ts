/**
 * Markdown as HTML that a page can insert. The renderer makes no HTML out of HTML; the sanitizer keeps only known tags
 * and attributes even if the renderer had a fault. The result depends on the text alone and is cached by it.
 */
import { setImmediate as nextTick } from 'node:timers/promises';
import MarkdownIt from 'markdown-it';
import { FilterXSS } from 'xss';
import { ROW_TTL_MS } from '../../db/sources.js';
import type { Cache } from '../../engine/cache/index.js';
import type { Context } from '../../graphql/context.js';
import { COSTS } from '../../graphql/limits.js';

/** Nesting of blocks and of inline elements. What is nested deeper is left out, or stays text. */
const MAX_NESTING = 20;
/**
 * Longer HTML is replaced by the text in one `pre`. A table of empty cells makes 11 characters of each character; the
 * text alone at most 6.
 */
const MAX_HTML_CHARS = 400_000;
/** In JSON, where some characters take two. */
const MAX_STORED_CHARS = 2 * MAX_HTML_CHARS;

/**
 * Links of web pages, mail addresses, and links within the page's own site: browsers read `//host` and `/\host` as
 * addresses of other sites.
 */
const ALLOWED_LINK = /^(https?:\/\/|mailto:|\/(?![/\\])|#)/i;

const markdown = new MarkdownIt({ html: false, linkify: true, maxNesting: MAX_NESTING });
markdown.validateLink = (url) => ALLOWED_LINK.test(url);
markdown.renderer.rules['link_open'] = (tokens, i, options, _, renderer) => {
  tokens[i]?.attrSet('rel', 'nofollow noopener noreferrer');
  return renderer.renderToken(tokens, i, options);
};

const plain = ['p', 'br', 'hr', 'em', 'strong', 's', 'code', 'pre', 'blockquote', 'ul', 'li'];
const table = ['table', 'thead', 'tbody', 'tr'];
const headings = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'];
const sanitizer = new FilterXSS({
  whiteList: {
    ...Object.fromEntries([...plain, ...table, ...headings].map((tag) => [tag, []])),
    a: ['href', 'title', 'rel'],
    img: ['src', 'alt', 'title'],
    ol: ['start'],
    th: [],
    td: [],
  },
  stripIgnoreTag: true,
  stripIgnoreTagBody: ['script', 'style'],
});

export function renderMarkdown(text: string): string {
  const rendered = markdown.render(text);
  if (rendered.length <= MAX_HTML_CHARS) {
    const html = sanitizer.process(rendered); // takes as long as rendering
    if (html.length <= MAX_HTML_CHARS) return html;
  }
  return `<pre>${markdown.utils.escapeHtml(text)}</pre>\n`;
}

/** The HTML of a text that the viewer may see. Charges for its length. @throws RATE_LIMITED */
export type MarkdownHtml = (context: Context, text: string) => Promise<string>;

export function markdownHtml(cache: Pick<Cache, 'memoize'>): MarkdownHtml {
  const rendered = cache.memoize(
    'MarkdownHtml',
    async (text: string) => {
      await nextTick(); // between long texts the process serves other requests
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
