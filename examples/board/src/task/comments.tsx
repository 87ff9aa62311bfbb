/** The comments of a task. One that was written here shows at once, and goes over into the answer that has it. */
import { type FormEvent, type ReactNode, useState } from 'react';
import { useMutation } from 'urql';
import { CreateComment } from '../api/operations.js';
import { Avatar, Fault, type Person } from '../parts.js';

export interface Comment {
  readonly id: string;
  readonly body: string;
  readonly createdAt: string;
  readonly author: Person;
}

/** A comment that no answer has yet. */
interface Sent {
  /** Sending it again with the same key makes no second comment. */
  readonly key: string;
  readonly body: string;
  /** Absent until the server has answered. */
  readonly id?: string;
  readonly fault?: string;
}

export interface CommentsProps {
  readonly taskId: string;
  readonly comments: readonly Comment[];
  /** Whether there are older ones. */
  readonly more: boolean;
  readonly viewer: Person;
  readonly disabled: boolean;
}

export function Comments({ taskId, comments, more, viewer, disabled }: CommentsProps) {
  const { sent, send } = useSentComments(taskId);
  const waiting = sent.filter(({ id }) => !comments.some((comment) => comment.id === id));
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const body = String(new FormData(event.currentTarget).get('body')).trim();
    if (body === '') return;
    event.currentTarget.reset();
    void send({ key: crypto.randomUUID(), body });
  };
  return (
    <section className="comments">
      <h3>Comments</h3>
      {more && <p className="note">The last 50.</p>}
      <ol>
        {comments.map(({ id, author, body, createdAt }) => (
          <Entry key={id} author={author} body={body} when={new Date(createdAt).toLocaleString()} />
        ))}
        {waiting.map((one) => (
          <Entry key={one.key} author={viewer} body={one.body} when="sending…">
            {one.fault && (
              <Fault error={one.fault}>
                <button type="button" onClick={() => void send(one)}>
                  Try again
                </button>
              </Fault>
            )}
          </Entry>
        ))}
      </ol>
      <form onSubmit={submit}>
        <textarea
          name="body"
          aria-label="Comment"
          placeholder="Write a comment…"
          rows={3}
          required
          disabled={disabled}
        />
        <button type="submit" disabled={disabled}>
          Comment
        </button>
      </form>
    </section>
  );
}

function useSentComments(taskId: string) {
  const [sent, setSent] = useState<readonly Sent[]>([]);
  const [, createComment] = useMutation(CreateComment);
  const send = async ({ key, body }: Sent) => {
    const put = (one: Sent) => setSent((all) => [...all.filter((other) => other.key !== key), one]);
    put({ key, body });
    const { data, error } = await createComment({ input: { taskId, body, idempotencyKey: key } });
    const { comment, errors: [refusal] = [] } = data?.createComment ?? {};
    if (comment) put({ key, body, id: comment.id });
    else put({ key, body, fault: `Not saved: ${refusal?.message ?? error?.message ?? 'no answer'}` });
  };
  return { sent, send };
}

interface EntryProps {
  readonly author: Person;
  readonly body: string;
  readonly when: string;
  readonly children?: ReactNode;
}

function Entry({ author, body, when, children }: EntryProps) {
  return (
    <li>
      <Avatar person={author} />
      <div>
        <p className="note">
          {author.name}, {when}
        </p>
        <p className="body">{body}</p>
        {children}
      </div>
    </li>
  );
}
