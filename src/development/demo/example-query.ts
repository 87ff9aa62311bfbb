/** The first query shown in the explorer. Two levels, so that the trace shows several loads. */
export const EXAMPLE_QUERY = `# Run it twice: the second answer's extensions.cache says 0 SQL statements.
{
  projects {
    nodes {
      key
      name
      stats { total overdue completedLast7Days }
      tasks(first: 5, filter: { status: { in: [TODO, IN_PROGRESS] } }) {
        nodes { identifier title priority assignee { name } labels { nodes { name } } commentCount }
      }
    }
  }
}
`;
