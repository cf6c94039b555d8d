//! What is installed other than by `make install`: the Debian package, and the agent on Kubernetes,
//! which must ask for no more than the systemd unit does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use sysfsm_testing::binary;
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A file of the repository.
fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What stands in the manifest, by its kind.
fn manifest() -> BTreeMap<String, Yaml> {
    let all = YamlLoader::load_from_str(&file("packaging/kubernetes/daemonset.yaml")).unwrap();
    let by_kind: BTreeMap<String, Yaml> = all
        .iter()
        .map(|object| (object["kind"].as_str().unwrap().to_string(), object.clone()))
        .collect();
    assert_eq!(by_kind.len(), all.len(), "one of each kind");
    by_kind
}

/// The pod of the `DaemonSet`.
fn pod() -> Yaml {
    manifest()["DaemonSet"]["spec"]["template"]["spec"].clone()
}

/// Its only container.
fn agent() -> Yaml {
    let pod = pod();
    assert!(pod["initContainers"].is_badvalue());
    let [agent] = pod["containers"].as_vec().unwrap().as_slice() else { panic!("{pod:?}") };
    agent.clone()
}

/// A list of words.
fn words(list: &Yaml) -> Vec<&str> {
    list.as_vec().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn on_kubernetes_the_agent_has_the_units_capabilities_and_no_others() {
    let unit = file("packaging/sysfsm.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let of_unit: BTreeSet<&str> =
        line.split_whitespace().map(|c| c.strip_prefix("CAP_").unwrap()).collect();
    let agent = agent();
    let capabilities = &agent["securityContext"]["capabilities"];
    assert_eq!(words(&capabilities["add"]).into_iter().collect::<BTreeSet<_>>(), of_unit);
    assert_eq!(words(&capabilities["drop"]), ["ALL"]);
}

#[test]
fn on_kubernetes_the_agent_is_not_privileged() {
    let (pod, agent) = (pod(), agent());
    let context = &agent["securityContext"];
    assert_eq!(context["privileged"].as_bool(), Some(false));
    assert_eq!(context["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(context["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
    assert_eq!(pod["hostPID"].as_bool(), Some(true), "/proc is to show what there is to adopt");
    for namespace in ["hostNetwork", "hostIPC"] {
        assert!(pod[namespace].is_badvalue(), "{namespace}");
    }
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"].as_str(), Some("RuntimeDefault"));
}

#[test]
fn on_kubernetes_pins_are_all_that_the_agent_may_write() {
    let (pod, agent) = (pod(), agent());
    let mounts = agent["volumeMounts"].as_vec().unwrap();
    let writable: Vec<&str> = mounts
        .iter()
        .filter(|mount| mount["readOnly"].as_bool() != Some(true))
        .map(|mount| mount["mountPath"].as_str().unwrap())
        .collect();
    assert_eq!(writable, ["/sys/fs/bpf"]);
    assert!(mounts.iter().all(|mount| mount["mountPropagation"].is_badvalue()), "{mounts:?}");
    // What is mounted is a volume, and the host's files stand where they do there.
    let volumes = pod["volumes"].as_vec().unwrap();
    assert_eq!(volumes.len(), mounts.len());
    for mount in mounts {
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        match volume["hostPath"]["path"].as_str() {
            Some(path) => assert_eq!(mount["mountPath"].as_str(), Some(path)),
            None => {
                assert_eq!(
                    volume["configMap"]["name"],
                    manifest()["ConfigMap"]["metadata"]["name"]
                );
            }
        }
    }
}

#[test]
fn on_kubernetes_the_end_of_a_pod_does_not_end_enforcement() {
    let agent = agent();
    assert!(agent["lifecycle"].is_badvalue());
    assert!(words(&agent["args"]).starts_with(&["enforce", "--pin"]), "{agent:?}");
    assert_eq!(words(&agent["readinessProbe"]["exec"]["command"]), ["/usr/bin/sysfsm", "status"]);
}

#[test]
fn on_kubernetes_everything_refers_to_what_there_is() {
    let manifest = manifest();
    let namespace = manifest["Namespace"]["metadata"]["name"].as_str();
    for (kind, object) in manifest.iter().filter(|(kind, _)| *kind != "Namespace") {
        assert_eq!(object["metadata"]["namespace"].as_str(), namespace, "{kind}");
    }
    let set = &manifest["DaemonSet"]["spec"];
    assert_eq!(set["selector"]["matchLabels"], set["template"]["metadata"]["labels"]);
    assert_eq!(agent()["image"].as_str(), Some(format!("sysfsm:{VERSION}").as_str()));
    // The image has what the manifest runs, with the arguments that the manifest gives. That its
    // policies are a ConfigMap only the manifest knows.
    let of_image = |word: &&&str| **word != "--trust-writable";
    let image = file("packaging/container/Containerfile");
    let arguments: Vec<String> =
        words(&agent()["args"]).iter().filter(of_image).map(|word| format!("\"{word}\"")).collect();
    assert!(image.contains(&format!("CMD [{}]", arguments.join(", "))), "{image}");
    assert!(image.contains(&format!("-t sysfsm:{VERSION} ")), "{image}");
}

#[test]
fn on_kubernetes_the_example_policy_is_one_and_stops_nothing() {
    let manifest = manifest();
    let policies = manifest["ConfigMap"]["data"].as_hash().unwrap();
    assert!(!policies.is_empty());
    let dir = TempDir::new().unwrap();
    for (name, text) in policies {
        let (name, text) = (name.as_str().unwrap(), text.as_str().unwrap());
        assert!(
            Path::new(name).extension().is_some_and(|e| e == "json"),
            "{name} would not be read"
        );
        fs::write(dir.path().join(name), text).unwrap();
        assert!(text.contains("\"action\": \"log\""), "{name}");
    }
    let shown = Command::new(binary()).arg("show").arg(dir.path()).output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
}

/// What a command prints, when it ends well.
fn said(command: &mut Command) -> String {
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_debian_package_holds_what_it_should_and_is_the_same_each_time() {
    let dir = TempDir::new().unwrap();
    let packages = ["one.deb", "two.deb"].map(|name| dir.path().join(name));
    for package in &packages {
        said(
            Command::new("make")
                .args([
                    "deb",
                    &format!("BINARY={}", binary()),
                    &format!("DEB={}", package.display()),
                ])
                .current_dir(env!("CARGO_MANIFEST_DIR")),
        );
    }
    assert!(fs::read(&packages[0]).unwrap() == fs::read(&packages[1]).unwrap(), "they differ");

    let field = |name: &str| {
        said(Command::new("dpkg-deb").arg("--field").arg(&packages[0]).arg(name)).trim().to_string()
    };
    assert_eq!(field("Package"), "sysfsm");
    assert_eq!(field("Version"), VERSION);
    let list = said(Command::new("dpkg-deb").arg("--contents").arg(&packages[0]));
    for path in [
        "./etc/sysfsm/policies/",
        "./etc/sysfsm/sysfsm.conf",
        "./usr/bin/sysfsm",
        "./usr/lib/systemd/system/sysfsm-record@.service",
        "./usr/lib/systemd/system/sysfsm.service",
        "./usr/share/bash-completion/completions/sysfsm",
        "./usr/share/doc/sysfsm/CHANGELOG.md",
        "./usr/share/doc/sysfsm/README.md",
        "./usr/share/doc/sysfsm/copyright",
        "./usr/share/doc/sysfsm/docs/policy-format.md",
        "./usr/share/doc/sysfsm/docs/policy.svg",
        "./usr/share/man/man1/sysfsm-enforce.1.gz",
        "./usr/share/man/man5/sysfsm-policy.5.gz",
        "./usr/share/zsh/vendor-completions/_sysfsm",
    ] {
        let line = list
            .lines()
            .find(|line| line.ends_with(&format!(" {path}")))
            .unwrap_or_else(|| panic!("{path}\n{list}"));
        assert!(line.contains(" root/root "), "{line}");
    }
    let control = dir.path().join("control");
    said(Command::new("dpkg-deb").arg("--control").arg(&packages[0]).arg(&control));
    assert_eq!(fs::read_to_string(control.join("conffiles")).unwrap(), "/etc/sysfsm/sysfsm.conf\n");
    let unit = said(
        Command::new("sh")
            .arg("-c")
            .arg("dpkg-deb --fsys-tarfile \"$0\" | tar -xO ./usr/lib/systemd/system/sysfsm.service")
            .arg(&packages[0]),
    );
    assert!(unit.contains("EnvironmentFile=-/etc/sysfsm/sysfsm.conf\n"), "{unit}");
    assert!(unit.contains("\nExecStart=/usr/bin/sysfsm enforce --pin $SYSFSM_OPTIONS "), "{unit}");
}
