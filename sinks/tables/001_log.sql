-- Whose rows these are: positions of two logs cannot be compared, so a database takes one log only.
CREATE TABLE IF NOT EXISTS flowsell.log
(
    log String,
    database UUID,
    since DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY since
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
