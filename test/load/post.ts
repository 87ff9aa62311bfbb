/** One request by POST over a connection that stays open. */
import { type Agent, request } from 'node:http';

/** Above all that an outage may cost a write: a request that takes longer fails. */
const REQUEST_WITHIN_MS = 30_000;

export interface PostOptions {
  readonly url: string;
  readonly agent: Agent;
  readonly headers: Readonly<Record<string, string>>;
}

/** The body of an answer with status 200. @throws everything else */
export function post(body: string, { url, agent, headers }: PostOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method: 'POST',
        agent,
        headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`HTTP ${response.statusCode}: ${text.slice(0, 300)}`));
        });
      },
    );
    sent.setTimeout(REQUEST_WITHIN_MS, () => sent.destroy(new Error(`no answer within ${REQUEST_WITHIN_MS} ms`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

/** The data of an answer without errors. @throws everything else */
export async function postForData<Data>(body: string, options: PostOptions): Promise<Data> {
  const text = await post(body, options);
  const { data, errors } = JSON.parse(text) as { data?: Data | null; errors?: unknown };
  if (errors !== undefined || !data) throw new Error(`an answer with errors: ${text.slice(0, 300)}`);
  return data;
}
