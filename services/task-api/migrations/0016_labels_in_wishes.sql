-- Wishes tell tags and resource groups, by which rules choose tasks: those without are written again, as the same version.
UPDATE tasks
SET written_generation = 0
WHERE generation > 0
  AND state <> 'released'
  AND (definition ->> 'resource_group' IS NOT NULL OR coalesce(definition -> 'tags', '{}') <> '{}');
