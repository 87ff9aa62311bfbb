/** `npm run db:triggers`: the SQL that installs every declared trigger, to be put into a new migration when they change. */

import { allRowSets } from '../src/domain/registry.js';
import { triggersSql } from '../src/engine/postgres/triggers.js';

console.log(allRowSets.map(triggersSql).join('\n\n'));
