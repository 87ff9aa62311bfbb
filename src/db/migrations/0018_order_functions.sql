-- The last digit of a number in base 62.
create function base62_digit(number int) returns text
language sql immutable parallel safe
return substr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', number % 62 + 1, 1);--> statement-breakpoint

-- The key in the manual order of a task that was never moved: that of its number as an integer of fractional indexing, a letter for the
-- number of digits and the digits in base 62. The same as `defaultSortOrder` in domain/tasks/sort-key.ts. Each case begins where the one
-- before has no digits left.
create function default_sort_order(number int) returns text
language sql immutable parallel safe
return case
  when number < 62 then 'a' || base62_digit(number)
  when number < 3906 then 'b' || base62_digit((number - 62) / 62) || base62_digit(number - 62)
  when number < 242234
  then 'c' || base62_digit((number - 3906) / 3844) || base62_digit((number - 3906) / 62) || base62_digit(number - 3906)
  when number < 15018570
  then 'd' || base62_digit((number - 242234) / 238328) || base62_digit((number - 242234) / 3844)
    || base62_digit((number - 242234) / 62) || base62_digit(number - 242234)
  when number < 931151402
  then 'e' || base62_digit((number - 15018570) / 14776336) || base62_digit((number - 15018570) / 238328)
    || base62_digit((number - 15018570) / 3844) || base62_digit((number - 15018570) / 62) || base62_digit(number - 15018570)
  else 'f' || base62_digit((number - 931151402) / 916132832) || base62_digit((number - 931151402) / 14776336)
    || base62_digit((number - 931151402) / 238328) || base62_digit((number - 931151402) / 3844)
    || base62_digit((number - 931151402) / 62) || base62_digit(number - 931151402)
end;
