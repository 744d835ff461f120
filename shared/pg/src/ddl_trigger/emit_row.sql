-- The WAL tells the insert; the table stays empty.
        INSERT INTO rowcast.ddl_log (payload) VALUES (told) RETURNING id INTO told_id;
        DELETE FROM rowcast.ddl_log WHERE id = told_id;
