-- A message counts as standing at its end, where the next record begins. If that is a row of an
        -- outer transaction, decoding takes the row first; so this one takes the place.
        IF FOUND THEN
            PERFORM pg_logical_emit_message(true, '{padding}', '');
        END IF;
