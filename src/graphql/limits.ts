/**
 * Limits of one request. Limits on the document are checked during validation, once per document. The cost depends on
 * variables and is checked when the operation is known.
 */
import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesRule } from '@escape.tech/graphql-armor-max-directives';
import { GraphQLError, type ValidationContext, type ValidationRule } from 'graphql';
import { SECOND } from '../std/time.js';
import { maxComparisonsRule } from './comparisons.js';

export { DEFAULT_PAGE, MAX_PAGE } from './page.js';

/** Maximum body size. A mutation can contain texts of 65,536 characters, each of which takes up to 6 bytes in JSON. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** Maximum body size without a token, where only introspection by tools is answered. */
export const MAX_ANONYMOUS_BODY_BYTES = 64 * 1024;
/** Maximum time for a client to send its body. */
export const RECEIVE_TIMEOUT_MS = 30 * SECOND;
/** Maximum time from the start of a request's execution to its answer. Statements of writes have the same limit. */
export const ANSWER_TIMEOUT_MS = 30 * SECOND;

/** Tokens per document, without comments. A page of a large frontend has about 500, introspection by tools 300. */
export const MAX_TOKENS = 2000;
/** Nesting of fields. Relay needs 8 for a list within a list, with edges. Introspection needs 13 and is not counted. */
export const MAX_DEPTH = 15;
export const MAX_ALIASES = 30;
export const MAX_DIRECTIVES = 50;
/**
 * Pairs of fields of one name in one object. 10,000 take 6 ms; twenty fragments on one object that share five fields
 * make 950.
 */
export const MAX_COMPARISONS = 10_000;
/** Selections, counting each use of a fragment: a few nested fragments can multiply to thousands. */
export const MAX_SELECTIONS = 5000;
/**
 * Values in a request's variables, and their nesting: code that visits them, graphql-js included, recurses as deep. The
 * largest answered input, a filter with all its comparisons, has about 2,700 values, 15 deep.
 */
export const MAX_VARIABLE_VALUES = 5000;
export const MAX_VARIABLE_DEPTH = 25;
/** Objects, lists and members in a request's body, counted before it is parsed: room for the largest variables. */
export const MAX_BODY_VALUES = 2 * MAX_VARIABLE_VALUES + 1000;
/** Memory of all documents kept in parsed form. Room for about 350 documents of a frontend, of 250 tokens each. */
export const MAX_STORED_DOCUMENT_BYTES = 32 * 1024 * 1024;
/** Fields selected by all queries kept in compiled form; each takes about 800 bytes. */
export const MAX_COMPILED_FIELDS = 20_000;
/**
 * Cost of a request in units of `costOf`, about one object of the answer each. A page of 50 tasks with labels, people
 * and comments costs 7,800.
 */
export const MAX_COST = 10_000;

/**
 * Costs of fields that the number of objects does not reflect. Other fields declare theirs as `complexity`. Work of
 * Postgres is dear in comparison with objects: the points of one viewer must not buy so much of it that others wait.
 */
export const COSTS = {
  /** A count over all pages. */
  totalCount: 20,
  /** An order that the client chose: no index has it in all lists, so it may sort every task in reach. */
  order: 120,
  /** Each full-text search in a list's filter. */
  search: 300,
  /** Each substring search in a long text, which is compared row by row: a description. */
  longText: 90,
  /** Each substring search in a short text: a title. */
  shortText: 15,
  /** A list of the members of all the viewer's projects. */
  people: 50,
  /** Statistics over all tasks of a project. */
  statistics: 50,
  /** What an operator looks up: a search in thousands of rows, or in all of process memory. */
  lookup: 300,
  /** A download of an export: reads a whole project. */
  export: 300,
  /** A mutation field: a transaction with its fence. */
  write: 30,
  /** Each task of a mutation of many. */
  writtenTask: 3,
  /** A text of up to 65,536 characters: a task description, a comment. */
  longTextField: 3,
  /** A text of up to 10,000 characters: a project description. */
  shortTextField: 1,
  /**
   * Each character of Markdown that is made HTML, charged when the text is known. 65,536 of the worst kind keep the
   * process busy for 0.2 to 0.4 s.
   */
  renderedChar: 1 / 100,
  /** Each project that a list of tasks or users reads, charged when the projects are known. */
  project: 0.3,
} as const;

/** Validation rules, for Apollo's `validationRules`. */
export const LIMITS: readonly ValidationRule[] = [
  // Must be first: a document it refuses is not visited by the others.
  maxComparisonsRule({ max: MAX_COMPARISONS, maxSelections: MAX_SELECTIONS }),
  maxDepthRule({ n: MAX_DEPTH, flattenFragments: true, ...refusing('depth', MAX_DEPTH) }),
  maxAliasesRule({ n: MAX_ALIASES, ...refusing('aliases', MAX_ALIASES) }),
  maxDirectivesRule({ n: MAX_DIRECTIVES, ...refusing('directives', MAX_DIRECTIVES) }),
] as ValidationRule[]; // the packages declare their visitors with wider types than graphql

/** For Apollo's `parseOptions`. */
export const PARSE_OPTIONS = { maxTokens: MAX_TOKENS };

/** Reports a violation as a validation error; a thrown error would count as internal. */
function refusing(argument: string, limit: number) {
  return {
    propagateOnRejection: false,
    onReject: [
      (context: ValidationContext | null, { message }: GraphQLError) =>
        context?.reportError(
          new GraphQLError(message.replace('Syntax Error: ', ''), { extensions: { argument, limit } }),
        ),
    ],
  };
}
