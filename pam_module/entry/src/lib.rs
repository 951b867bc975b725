//! The six functions that libpam calls, in a crate of their own: what stands in the crate of a shared object is compiled for speed, for the
//! sake of the hash, and the phases are compiled for size.
#![deny(unsafe_code)]

mod entry_points {
    use authflow_pam::Authflow;

    pam::pam_hooks!(Authflow);
}
