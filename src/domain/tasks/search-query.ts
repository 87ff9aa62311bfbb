/**
 * The search syntax: words in any form and by their beginnings, `"phrases"`, `or`, `-without`. A search is read into
 * terms, and these become a `tsquery` for the words of task documents, which hold each text twice: as English stems and
 * as it is.
 */
import { type SQL, sql } from 'drizzle-orm';

/** Maximum number of words in a search, those of phrases and of words with hyphens included. */
export const MAX_SEARCH_TERMS = 20;
/** Each of the words that begin with a shorter text would have to be read from the index. */
const MIN_PREFIX_CHARS = 2;

const WORDS = /[\p{L}\p{N}\p{M}]+/gu;

export interface SearchTerm {
  readonly text: string;
  readonly kind: 'word' | 'phrase';
  readonly excluded: boolean;
}

/** Alternatives, of which one must match: all terms of it. */
export function searchTerms(search: string): SearchTerm[][] {
  const alternatives: SearchTerm[][] = [[]];
  for (const [, minus, phrase, word = ''] of search.matchAll(/(-?)(?:"([^"]*)"?|([^\s"]+))/g)) {
    if (word.toLowerCase() === 'or' && minus === '') alternatives.push([]);
    else {
      const text = phrase ?? word;
      alternatives.at(-1)?.push({ text, kind: phrase === undefined ? 'word' : 'phrase', excluded: minus === '-' });
    }
  }
  return alternatives.filter((terms) => terms.length > 0).map(withoutStopWords);
}

/** Each word of a phrase is one, as is each part of a word with hyphens or other punctuation. */
export function countWords(search: string): number {
  const counts = searchTerms(search).flatMap((terms) => terms.map(({ text }) => text.match(WORDS)?.length ?? 1));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** English words that a search leaves out, unless it has no others. Those of Postgres. */
const STOP_WORDS = new Set(
  (
    'i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it ' +
    'its itself they them their theirs themselves what which who whom this that these those am is are was were be been ' +
    'being have has had having do does did doing a an the and but if or because as until while of at by for with about ' +
    'against between into through during before after above below to from up down in out on off over under again ' +
    'further then once here there when where why how all any both each few more most other some such no nor not only ' +
    'own same so than too very s t can will just don should now'
  ).split(' '),
);

function withoutStopWords(terms: SearchTerm[]): SearchTerm[] {
  const isFound = (term: SearchTerm) => !term.excluded && !isStopWord(term);
  return terms.some(isFound) ? terms.filter((term) => !isStopWord(term)) : terms;
}

function isStopWord({ text }: SearchTerm): boolean {
  return text.split(/\s+/).every((word) => word === '' || STOP_WORDS.has(word.toLowerCase()));
}

/** The documents that a search finds. */
export function searchSql(search: string): SQL {
  const alternatives = searchTerms(search).map((terms) => joined(terms.map(termSql), sql` && `));
  return joined(alternatives, sql` || `);
}

/** The words that count for the rank of what these searches find: all of them, where they are not excluded. */
export function rankedWordsSql(searches: readonly string[]): SQL {
  const terms = searches.flatMap((search) => searchTerms(search).flat()).filter(({ excluded }) => !excluded);
  return joined(terms.map(termSql), sql` || `);
}

/** An empty query finds nothing. */
function joined(queries: readonly SQL[], by: SQL): SQL {
  return queries.length === 0 ? sql`''::tsquery` : sql`(${sql.join([...queries], by)})`;
}

function termSql(term: SearchTerm): SQL {
  const { text, kind, excluded } = term;
  const stems = sql`phraseto_tsquery('english', search_text(${text}))`;
  const words = sql`phraseto_tsquery('simple', search_text(${text}))`;
  if (excluded) return kind === 'phrase' ? sql`!!${stems}` : sql`!!(${stems} || ${words})`;
  if (kind === 'phrase') return isStopWord(term) ? words : stems;
  if (isWhole(text)) return sql`(${stems} || ${words})`;
  return sql`(${stems} || prefix_query(${text.replace(/[^\p{L}\p{N}\p{M}]+$/u, '')}))`;
}

/** Not the beginning of a longer word: OPS-4 does not find OPS-42. */
function isWhole(text: string): boolean {
  return [...text].length < MIN_PREFIX_CHARS || /^[a-z][a-z0-9]{1,9}-[0-9]+$/i.test(text);
}
