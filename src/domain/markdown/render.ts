/**
 * Markdown as HTML that a page can insert. The renderer makes no HTML out of HTML; the sanitizer keeps only known tags
 * and attributes even if the renderer had a fault. The result depends on the text alone.
 */
import MarkdownIt from 'markdown-it';
import { FilterXSS } from 'xss';

/** Nesting of blocks and of inline elements. What is nested deeper is left out, or stays text. */
const MAX_NESTING = 20;
/**
 * Longer HTML is replaced by the text in one `pre`. A table of empty cells makes 11 characters of each character; the
 * text alone at most 6.
 */
export const MAX_HTML_CHARS = 400_000;

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
