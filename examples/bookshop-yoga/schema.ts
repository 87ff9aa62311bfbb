import { eq } from 'drizzle-orm';
import { createSchema } from 'graphql-yoga';
import { cachedResolver } from 'tagfence/graphql';
import { cache, db } from './cache.js';
import { authorRows, bookRows, books } from './tables.js';

type Author = { id: number };
type Book = typeof books.$inferSelect;
const HOUR = 60 * 60 * 1000;

const typeDefs = `
  type Query { author(id: Int!): Author }
  type Mutation { addBook(authorId: Int!, title: String!): Book! }
  type Author { id: Int! name: String! books: [Book!]! }
  type Book { id: Int! title: String! author: Author }`;

const resolvers = {
  Query: {
    /** Returns an id; the field is its row, from the cache or loaded together with all others that the request needs. */
    author: cachedResolver(cache.byId(authorRows), (_: unknown, { id }: { id: number }) => id),
  },
  Author: {
    /** Any resolver: its result is kept until a write touches a row of this set. */
    books: cachedResolver(
      { ttlMs: HOUR, scope: 'public', tags: (author: Author) => bookRows.byAuthor(author.id) },
      (author) => db.select().from(books).where(eq(books.authorId, author.id)).orderBy(books.id),
    ),
  },
  Book: {
    author: cachedResolver(cache.byId(authorRows), (book: Book) => book.authorId),
  },
  Mutation: {
    /** When it has answered, no process serves the list without this book. */
    async addBook(_: unknown, { authorId, title }: { authorId: number; title: string }) {
      const [book] = await cache.write((tx) => tx.insert(books).values({ authorId, title }).returning());
      return book;
    },
  },
};

export const schema = cache.bind(createSchema({ typeDefs, resolvers }));
