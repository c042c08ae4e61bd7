//! What a scenario file may say, and what it is told when it says something else.
//! Plays nothing. The programs here have one setting; real ones are in `slackwater-jobs`.
