// RUN: hadal-opt %s --hadal-lower-tile-to-sm90=chip=b200 -verify-diagnostics

// Schedules are for a chip that is known.
// expected-error @+1 {{there is no chip 'b200'}}
module {
}
