/** Values that memory may have at once: a promise costs whoever does not need it more than the value. */

export type Awaitable<T> = T | Promise<T>;

/** `then(value)`: now, or when its promise is fulfilled. */
export function once<T, R>(value: Awaitable<T>, then: (value: T) => Awaitable<R>): Awaitable<R> {
  return value instanceof Promise ? value.then(then) : then(value);
}

/** `then(a, b)`: now, or when both promises are fulfilled. */
export function onceBoth<A, B, R>(a: Awaitable<A>, b: Awaitable<B>, then: (a: A, b: B) => Awaitable<R>): Awaitable<R> {
  if (!(a instanceof Promise) && !(b instanceof Promise)) return then(a, b);
  return Promise.all([a, b]).then(([first, second]) => then(first, second));
}
