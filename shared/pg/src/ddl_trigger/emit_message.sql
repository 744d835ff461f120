-- As bytes, for a message is not converted from the encoding of the database.
        PERFORM pg_logical_emit_message(true, '{prefix}', convert_to(told, 'UTF8'));
