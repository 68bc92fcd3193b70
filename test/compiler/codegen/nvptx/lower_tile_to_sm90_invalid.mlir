// RUN: hadal-opt %s --hadal-lower-tile-to-sm90=chip=b200 -verify-diagnostics

// A chip is one of the table.
// expected-error @below {{there is no chip 'b200', only h100 h200}}
module {
}
