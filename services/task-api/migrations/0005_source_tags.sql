-- What users sort sources by: an object of texts.
ALTER TABLE sources ADD COLUMN tags jsonb NOT NULL DEFAULT '{}';
