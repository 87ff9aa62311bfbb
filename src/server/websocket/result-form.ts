/** The form in which clients get the results and errors of subscriptions: within the size limit, errors masked. */
import type { ExecutionResult, FormattedExecutionResult, GraphQLError, GraphQLFormattedError } from 'graphql';
import type { ErrorMask } from '../../graphql/errors.js';
import { bytesOf, ResponseTooLarge } from '../operations/response-size.js';

/** A result as both graphql-js and graphql-ws declare it. */
interface Result {
  readonly data?: ExecutionResult['data'] | undefined;
  readonly errors?: readonly GraphQLError[] | undefined;
}

export interface ResultFormOptions {
  readonly mask: ErrorMask;
  /** Maximum size of one result. A larger one becomes RESPONSE_TOO_LARGE. */
  readonly maxResponseBytes: number;
}

export class ResultForm {
  readonly #options: ResultFormOptions;

  constructor(options: ResultFormOptions) {
    this.#options = options;
  }

  /** @returns the result to send in place of this one; undefined if that can be sent as it is */
  changed({ data = null, errors }: Result): FormattedExecutionResult | undefined {
    const { maxResponseBytes } = this.#options;
    if (bytesOf(data, maxResponseBytes) === undefined)
      return { data: null, errors: [this.error(new ResponseTooLarge(maxResponseBytes))] };
    return errors && { data, errors: errors.map(this.error) };
  }

  readonly error = (error: GraphQLError): GraphQLFormattedError => this.#options.mask.format(formatted(error), error);
}

/** Like `toJSON`, without the extensions meant for HTTP. */
function formatted(error: GraphQLError): GraphQLFormattedError {
  const { http: _, ...extensions } = error.extensions;
  return { ...error.toJSON(), extensions };
}
