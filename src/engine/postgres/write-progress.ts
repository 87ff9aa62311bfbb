/** The progress of a request's writes. */
export interface WriteProgress {
  /** A transaction has begun, so the request's writes may take effect even if it gets no answer. */
  begun: boolean;
  /** A transaction of the request has changed rows, and was committed or may have been. */
  effective: boolean;
}
