//! Connectors: sources and sinks for the outside world, each in a room of its own.
//! Nothing here opens a socket, a file or a clock by itself: everything goes through the host.
//! What a source and a sink promise is in `slackwater-dataflow`'s `connector`.

pub mod csv;
pub mod generate;
pub mod influx;
pub mod influxd;
pub mod log;
mod request;
pub mod series;
pub mod socket;
pub mod ticks;

#[cfg(test)]
mod restored;
#[cfg(test)]
mod testing;
