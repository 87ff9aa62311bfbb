/** Values that memory may have at once: a promise costs whoever does not need it more than the value. */

export type MaybePromise<T> = T | Promise<T>;

/** `then(value)`: now, or when its promise is fulfilled. */
export function mapMaybe<T, R>(value: MaybePromise<T>, then: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Promise ? value.then(then) : then(value);
}

/** `then(a, b)`: now, or when both promises are fulfilled. */
export function zipMaybe<A, B, R>(
  a: MaybePromise<A>,
  b: MaybePromise<B>,
  then: (a: A, b: B) => MaybePromise<R>,
): MaybePromise<R> {
  if (!(a instanceof Promise) && !(b instanceof Promise)) return then(a, b);
  return Promise.all([a, b]).then(([first, second]) => then(first, second));
}
