/**
 * What one request may ask for: every limit of the API with its number. What is read off the document alone is checked when it is
 * validated, once per document; the cost, which depends on variables, when its operation is known.
 */
import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesRule } from '@escape.tech/graphql-armor-max-directives';
import { GraphQLError, type ValidationContext, type ValidationRule } from 'graphql';
import { SECOND } from '../std/time.js';
import { maxComparisonsRule } from './comparisons.js';

export { DEFAULT_PAGE, MAX_PAGE } from './page.js';

/** Of the whole body: a mutation may bring texts of 65 536 characters, each of which JSON may write in 6 bytes. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** Without a token, where a body can only hold the introspection of a tool. */
export const MAX_ANONYMOUS_BODY_BYTES = 64 * 1024;
/** How long a client may take to send it. */
export const RECEIVE_TIMEOUT_MS = 30 * SECOND;
/** From a request's arrival to its answer. A statement of Postgres ends after the same time. */
export const ANSWER_TIMEOUT_MS = 30 * SECOND;

/** Of a document, comments not counted. A page of a large frontend has some 500; the introspection of tools 300. */
export const MAX_TOKENS = 2000;
/** Fields within fields. Relay asks for one list within another, with edges, in 8. Tools ask for the schema in 13, which is not counted. */
export const MAX_DEPTH = 15;
export const MAX_ALIASES = 30;
export const MAX_DIRECTIVES = 50;
/** Pairs of fields of one name in one object. They take 6 ms; twenty fragments on one object that share five fields are 950. */
export const MAX_COMPARISONS = 10_000;
/** Selections with each use of a fragment counted: a few fragments that use each other twice are thousands. */
export const MAX_SELECTIONS = 5000;
/**
 * Of a request's variables: whatever goes through them, graphql-js too, calls itself as deep as they are. The largest that is
 * answered, a filter with all its comparisons, has some 2700 values, 15 deep.
 */
export const MAX_VARIABLE_VALUES = 5000;
export const MAX_VARIABLE_DEPTH = 25;
/** Of the documents kept as parsed; a character becomes some 75 bytes of objects. Room for 350 of a frontend's. */
export const MAX_STORED_DOCUMENT_CHARS = 512 * 1024;
/** Selected by the queries of those that are kept as compiled, too; each is some 800 bytes. */
export const MAX_COMPILED_FIELDS = 20_000;
/** In units of `costOf`: about one object of the answer each. A page of 50 tasks with labels, people and comments is 7800. */
export const MAX_COST = 10_000;

/** Of the fields whose cost no count of objects tells; others have theirs where they are declared, as `complexity`. */
export const COSTS = {
  /** A count of all pages. */
  totalCount: 20,
  /** A list that is found by its text, for each search. */
  search: 100,
  /** A part of a long text, looked for row by row: a description. */
  longText: 50,
  /** The same of a short one: a title. */
  shortText: 5,
  /** A field of Mutation: a transaction with its fence. */
  write: 10,
  /** A text of up to 65 536 characters: a task's description, a comment. */
  longTextField: 3,
  /** One of up to 10 000: a project's description. */
  shortTextField: 1,
  /** A list of tasks reads each project it is of: for each of these, charged when they are known. */
  project: 0.1,
} as const;

/** For Apollo's `validationRules`. */
export const LIMITS: readonly ValidationRule[] = [
  maxComparisonsRule({ max: MAX_COMPARISONS, maxSelections: MAX_SELECTIONS }), // the first: what it refuses, the others do not see
  maxDepthRule({ n: MAX_DEPTH, flattenFragments: true, ...refusing('depth', MAX_DEPTH) }),
  maxAliasesRule({ n: MAX_ALIASES, ...refusing('aliases', MAX_ALIASES) }),
  maxDirectivesRule({ n: MAX_DIRECTIVES, ...refusing('directives', MAX_DIRECTIVES) }),
] as ValidationRule[]; // their visitors are declared wider than graphql's

/** For Apollo's `parseOptions`. */
export const PARSE_OPTIONS = { maxTokens: MAX_TOKENS };

/** Reported like any other error of validation: what is thrown there would be an error of ours. */
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
