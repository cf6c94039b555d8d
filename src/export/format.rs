//! The formats that a policy can be exported to.

/// Who is to read the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A seccomp profile of the OCI runtime specification, as Docker and Podman take it.
    SeccompOci,
    /// A drop-in for a systemd service.
    Systemd,
    /// The JSON of rust-vmm's seccompiler.
    SeccompJson,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 3] = [Format::SeccompOci, Format::Systemd, Format::SeccompJson];

    /// As it stands on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Format::SeccompOci => "seccomp-oci",
            Format::Systemd => "systemd",
            Format::SeccompJson => "seccomp-json",
        }
    }
}
