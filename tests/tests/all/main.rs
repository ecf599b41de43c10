//! All tests of the whole workspace: one binary, so that it is linked once.

mod architecture;
