//! What the man pages have besides what the definitions say: examples, files, further reading.

/// Further sections of one page.
#[derive(Debug)]
pub(super) struct Sections {
    /// The command; empty of `sysfsm(1)`.
    command: &'static str,
    /// What for, and the lines.
    pub examples: &'static [(&'static str, &'static str)],
    /// A path, and what is there.
    pub files: &'static [(&'static str, &'static str)],
    /// Other pages to read, as NAME(SECTION).
    pub see_also: &'static [&'static str],
}

impl Sections {
    /// The further sections of a command's page.
    pub fn of(command: &str) -> Option<&'static Self> {
        ALL.iter().find(|sections| sections.command == command)
    }

    /// The further sections of all pages.
    #[cfg(test)]
    pub fn all() -> &'static [Self] {
        ALL
    }
}

const POLICIES: (&str, &str) =
    ("/etc/sysfsm/policies", "Policies that the service sysfsm enforces: files that end in .json.");
const OPTIONS: (&str, &str) =
    ("/etc/sysfsm/sysfsm.conf", "Options of the service sysfsm (of the Debian package).");
const PINS: (&str, &str) =
    ("/sys/fs/bpf/sysfsm", "What is enforced beyond the end of its process, pinned.");
const RECORDED: (&str, &str) =
    ("/var/lib/sysfsm", "What the units sysfsm-record@.service have recorded.");
const RUN: (&str, &str) =
    ("/run/sysfsm", "The socket of --metrics, in a directory that the service makes.");

const ALL: &[Sections] = &[
    Sections {
        command: "",
        examples: &[
            (
                "Learn a policy from a log, and enforce it:",
                "strace -f -o trace.syscall /usr/bin/prog\n\
                 sysfsm extract trace.syscall -o policy.json\n\
                 sudo sysfsm enforce --policy policy.json -- /usr/bin/prog",
            ),
            (
                "Learn from a running service, watch, review, and enforce as a service:",
                "sudo sysfsm record --binary /usr/sbin/nginx -o nginx.json\n\
                 sudo sysfsm enforce --policy nginx.json --log-only --learn-to seen.json\n\
                 sudo sysfsm review seen.json --policy nginx.json\n\
                 sudo install -D -m 644 nginx.json /etc/sysfsm/policies/nginx.json\n\
                 sudo systemctl enable --now sysfsm",
            ),
        ],
        files: &[POLICIES, OPTIONS, PINS, RECORDED, RUN],
        see_also: &[
            "sysfsm-policy(5)",
            "sysfsm-extract(1)",
            "sysfsm-record(1)",
            "sysfsm-enforce(1)",
            "strace(1)",
            "seccomp(2)",
            "bpf(2)",
        ],
    },
    Sections {
        command: "extract",
        examples: &[
            (
                "Trace several lawful runs, and learn one policy from all of them:",
                "strace -f -o one.syscall /usr/bin/prog\n\
                 strace -f -o two.syscall /usr/bin/prog --other\n\
                 sysfsm extract one.syscall two.syscall -o policy.json",
            ),
            (
                "One policy for each binary that the log execs, at depth 3:",
                "sysfsm extract trace.syscall --depth 3 -o policies/",
            ),
            ("Read a log from stdin, and print the policy:", "sysfsm extract -"),
        ],
        files: &[],
        see_also: &[
            "sysfsm(1)",
            "sysfsm-policy(5)",
            "sysfsm-record(1)",
            "sysfsm-show(1)",
            "sysfsm-check(1)",
            "strace(1)",
        ],
    },
    Sections {
        command: "check",
        examples: &[
            (
                "What would have been a violation in another day's log:",
                "sysfsm check --policy policy.json monday.syscall",
            ),
            (
                "The same as JSON, for all policies of a directory:",
                "sysfsm check --json --policy policies/ monday.syscall tuesday.syscall",
            ),
        ],
        files: &[],
        see_also: &["sysfsm(1)", "sysfsm-policy(5)", "sysfsm-extract(1)", "sysfsm-explain(1)"],
    },
    Sections {
        command: "merge",
        examples: &[
            (
                "One policy of what several machines have recorded:",
                "sysfsm merge monday.json tuesday.json hosts/ -o policy.json",
            ),
            (
                "Policies of several binaries, one file for each:",
                "sysfsm merge hosts/ -o policies/",
            ),
        ],
        files: &[],
        see_also: &["sysfsm(1)", "sysfsm-policy(5)", "sysfsm-diff(1)", "sysfsm-record(1)"],
    },
    Sections {
        command: "diff",
        examples: &[
            ("What a new policy has and has not:", "sysfsm diff old.json new.json"),
            (
                "A gate: ends with 1 if the new policies allow more than the old ones:",
                "sysfsm diff --check /etc/sysfsm/policies policies/",
            ),
        ],
        files: &[POLICIES],
        see_also: &["sysfsm(1)", "sysfsm-policy(5)", "sysfsm-merge(1)"],
    },
    Sections {
        command: "show",
        examples: &[
            ("Read a policy:", "sysfsm show policy.json"),
            ("Explore it in a browser:", "sysfsm show --format html policy.json"),
            ("Draw it with Graphviz:", "sysfsm show --format dot policy.json"),
        ],
        files: &[],
        see_also: &["sysfsm(1)", "sysfsm-policy(5)", "sysfsm-diff(1)", "dot(1)"],
    },
    Sections {
        command: "explain",
        examples: &[
            (
                "Explain a violation by the id that enforce has printed:",
                "sysfsm explain 026676fb57c9 --events events.jsonl --policy policies/",
            ),
            ("Explain all violations of a file:", "sysfsm explain events.jsonl --policy policies/"),
        ],
        files: &[POLICIES],
        see_also: &["sysfsm(1)", "sysfsm-policy(5)", "sysfsm-enforce(1)", "sysfsm-review(1)"],
    },
    Sections {
        command: "export",
        examples: &[
            (
                "A seccomp profile for a container:",
                "sysfsm export policy.json --format seccomp-oci -o profile.json",
            ),
            (
                "A drop-in for a systemd service:",
                "sysfsm export policy.json --format systemd -o sysfsm.conf",
            ),
        ],
        files: &[],
        see_also: &["sysfsm(1)", "sysfsm-policy(5)", "seccomp(2)", "systemd.exec(5)"],
    },
    Sections {
        command: "review",
        examples: &[
            (
                "Decide one by one about what was watched:",
                "sysfsm review seen.json --policy policy.json",
            ),
            (
                "Accept all waits from anywhere, and see what is left:",
                "sysfsm review seen.json --policy policy.json --accept-anywhere *→futex",
            ),
            ("Look, and decide nothing:", "sysfsm review seen.json --policy policy.json --list"),
        ],
        files: &[],
        see_also: &["sysfsm(1)", "sysfsm-policy(5)", "sysfsm-enforce(1)", "sysfsm-explain(1)"],
    },
    Sections {
        command: "enforce",
        examples: &[
            (
                "Run a program under its policy:",
                "sudo sysfsm enforce --policy policy.json -- /usr/bin/prog",
            ),
            (
                "Watch, stop nothing, and collect what the policies lack:",
                "sudo sysfsm enforce --policy policies/ --log-only --learn-to seen.json",
            ),
            (
                "Enforce until sysfsm stop, on a kernel that refuses violating calls only:",
                "sudo sysfsm enforce --detach --require contain --policy /etc/sysfsm/policies",
            ),
        ],
        files: &[POLICIES, OPTIONS, PINS, RUN],
        see_also: &[
            "sysfsm(1)",
            "sysfsm-policy(5)",
            "sysfsm-review(1)",
            "sysfsm-status(1)",
            "sysfsm-stop(1)",
            "sysfsm-doctor(1)",
            "systemd.service(5)",
        ],
    },
    Sections {
        command: "status",
        examples: &[
            ("What is enforced, and who is watched:", "sudo sysfsm status"),
            ("The same as JSON:", "sudo sysfsm status --json"),
        ],
        files: &[PINS],
        see_also: &["sysfsm(1)", "sysfsm-enforce(1)", "sysfsm-top(1)", "sysfsm-stop(1)"],
    },
    Sections {
        command: "top",
        examples: &[
            (
                "Look on, with the violations that the agent appends to a file:",
                "sudo sysfsm top --events events.jsonl",
            ),
            ("One object for a program:", "sudo sysfsm top --json --once"),
        ],
        files: &[PINS],
        see_also: &["sysfsm(1)", "sysfsm-enforce(1)", "sysfsm-status(1)"],
    },
    Sections {
        command: "reload",
        examples: &[(
            "Have changed policies read, and learn what came of it:",
            "sudo sysfsm reload --json",
        )],
        files: &[POLICIES, PINS],
        see_also: &["sysfsm(1)", "sysfsm-enforce(1)", "sysfsm-status(1)"],
    },
    Sections {
        command: "stop",
        examples: &[("End what is enforced, and get the totals:", "sudo sysfsm stop --json")],
        files: &[PINS],
        see_also: &["sysfsm(1)", "sysfsm-enforce(1)", "sysfsm-status(1)"],
    },
    Sections {
        command: "record",
        examples: &[
            (
                "Record a service, whoever runs it, until Ctrl-C:",
                "sudo sysfsm record --binary /usr/sbin/nginx -o nginx.json",
            ),
            (
                "Record what root starts of it, and learn from nobody else:",
                "sudo sysfsm record --binary /usr/sbin/nginx --uid root -o nginx.json",
            ),
            (
                "Record a command and all that it starts, one policy for each program:",
                "sudo sysfsm record -o policies/ -- /usr/bin/make -j2",
            ),
            (
                "Record a running process for an hour:",
                "sudo sysfsm record --pid 1234 --for 1h -o policy.json",
            ),
        ],
        files: &[RECORDED],
        see_also: &["sysfsm(1)", "sysfsm-policy(5)", "sysfsm-extract(1)", "sysfsm-merge(1)"],
    },
    Sections {
        command: "doctor",
        examples: &[("What this kernel offers:", "sudo sysfsm doctor --json")],
        files: &[],
        see_also: &["sysfsm(1)", "sysfsm-enforce(1)", "bpf(2)"],
    },
];
