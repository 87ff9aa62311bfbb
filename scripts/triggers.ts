/** `npm run db:triggers`: the SQL that installs every declared trigger, to be put into a new migration when they change. */
import { triggersSql } from '../src/invalidation/triggers.js';
import { allRowSets } from '../src/row-sets.js';

console.log(allRowSets.map(triggersSql).join('\n\n'));
