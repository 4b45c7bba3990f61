-- How often a managed connector may be used: JSON of `budget::Budget`, none for as often as anything.
alter table connectors add column budget text;
