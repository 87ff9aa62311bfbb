/** One request without a client: for what the tests prepare, and what others do meanwhile. */
export interface Viewer {
  readonly url: string;
  readonly token: string;
}

/** @returns the data. @throws when there are errors */
export async function ask<T>({ url, token }: Viewer, query: string, variables: object = {}): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await response.json()) as { data: T; errors?: unknown };
  if (errors !== undefined) throw new Error(JSON.stringify(errors));
  return data;
}
