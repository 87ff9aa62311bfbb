-- Shared by fence.lua, release.lua and apply.lua, put in front of them.
-- The database that a position `<xid>:<database>.<random>` or a lease `<generation>:<database>.<random>` belongs to; nil when it names none.
local function owner_of(text)
  return string.match(text or '', '^[^:]*:([^.:]*)%.')
end
-- Whether the keys belong to another database than the writer's. Its transaction ids mean other transactions there, and nothing there is
-- served to its readers. '' is a writer that names no database.
local function is_foreign(position, database)
  local owner = owner_of(position)
  return database ~= '' and owner ~= nil and owner ~= database
end
