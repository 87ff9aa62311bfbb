/** The directive `@live`: a query with it is answered again whenever its answer changes. */
import {
  DirectiveLocation,
  GraphQLBoolean,
  GraphQLDirective,
  GraphQLInt,
  GraphQLNonNull,
  getDirectiveValues,
  type OperationDefinitionNode,
} from 'graphql';
import { badUserInput } from './errors.js';

const MAX_THROTTLE_MS = 60_000;

export const LiveDirective = new GraphQLDirective({
  name: 'live',
  description:
    'Over a WebSocket or server-sent events: the query is answered again whenever its answer changes, until the ' +
    'client ends it. Elsewhere the query is answered once.',
  locations: [DirectiveLocation.QUERY],
  args: {
    if: {
      type: new GraphQLNonNull(GraphQLBoolean),
      defaultValue: true,
      description: 'With `false` the query is answered once.',
    },
    throttleMs: {
      type: new GraphQLNonNull(GraphQLInt),
      defaultValue: 0,
      description: `Minimum time between the starts of two runs, in ms: 0 to ${MAX_THROTTLE_MS}.`,
    },
    patch: {
      type: new GraphQLNonNull(GraphQLBoolean),
      defaultValue: false,
      description: 'Sends answers after the first as a JSON Patch of `data` (RFC 6902), where that is shorter.',
    },
  },
});

/** What a client wants of a live query. */
export interface LiveArguments {
  readonly throttleMs: number;
  readonly patch: boolean;
}

/**
 * The arguments of an operation's `@live`; undefined if it has none, or one with `if: false`.
 * @param variables in coerced form
 * @throws BAD_USER_INPUT
 */
export function liveArguments(
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): LiveArguments | undefined {
  const values = getDirectiveValues(LiveDirective, operation, variables);
  if (values === undefined || values['if'] === false) return undefined;
  const { throttleMs, patch } = values as unknown as LiveArguments; // by the types above
  if (throttleMs >= 0 && throttleMs <= MAX_THROTTLE_MS) return { throttleMs, patch };
  throw badUserInput('throttleMs', `expected 0 to ${MAX_THROTTLE_MS} (milliseconds), got ${throttleMs}`, 400);
}
