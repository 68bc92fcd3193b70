// RUN: hadal-opt %s --hadal-decide-overlap=overlap=off -split-input-file -verify-diagnostics

// expected-error @+1 {{H2002: overlap must be auto or on, got 'off'}}
module {
}
