import { eq } from 'drizzle-orm';
import { Cached } from 'tagfence/graphql';
import { Arg, Field, FieldResolver, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { cache, db } from './cache.js';
import { authorRows, bookRows, books } from './tables.js';

const HOUR = 60 * 60 * 1000;

@ObjectType()
export class Author {
  @Field(() => Int) id: number;
  @Field(() => String) name: string;
}

@ObjectType()
export class Book {
  @Field(() => Int) id: number;
  @Field(() => String) title: string;
  authorId: number;
}

@Resolver(() => Author)
export class AuthorResolver {
  /** Returns an id; the field is its row, from the cache or loaded together with all others that the request needs. */
  @Query(() => Author, { nullable: true })
  @Cached(cache.byId(authorRows))
  author(@Arg('id', () => Int) id: number) {
    return id;
  }

  /** Any method: its result is kept until a write touches a row of this set. */
  @FieldResolver(() => [Book])
  @Cached({ ttlMs: HOUR, scope: 'public', tags: (author) => bookRows.byAuthor(author.id) })
  books(@Root() author: Author) {
    return db.select().from(books).where(eq(books.authorId, author.id)).orderBy(books.id);
  }
}

@Resolver(() => Book)
export class BookResolver {
  @FieldResolver(() => Author)
  @Cached(cache.byId(authorRows))
  author(@Root() book: Book) {
    return book.authorId;
  }

  /** When it has answered, no process serves the list without this book. */
  @Mutation(() => Book)
  async addBook(@Arg('authorId', () => Int) authorId: number, @Arg('title', () => String) title: string) {
    const [book] = await cache.write((tx) => tx.insert(books).values({ authorId, title }).returning());
    return book;
  }
}
