-- How autovacuum treats the entries. They are written once and read by index
-- whatever the statistics say, so there is little for it to do; by default it
-- would come back to all 16 partitions each minute while they are young, and
-- keep a core busy for seconds. What is left: dead rows of edits and deletions
-- (by the default thresholds), the visibility map, freezing.

DO $$
BEGIN
    FOR i IN 0..15 LOOP
        EXECUTE format('ALTER TABLE entries_%s SET ('
            'autovacuum_vacuum_insert_threshold = 1000000, '
            'autovacuum_vacuum_insert_scale_factor = 0.1, '
            'autovacuum_analyze_threshold = 1000000, '
            'autovacuum_analyze_scale_factor = 0.2, '
            'autovacuum_vacuum_cost_delay = 10)',
            lpad(i::text, 2, '0'));
    END LOOP;
END $$;
