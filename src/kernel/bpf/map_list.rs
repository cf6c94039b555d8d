//! Lists of maps, in which each name is written once.

use crate::kernel::error::KernelError;
use libbpf_rs::{MapCore as _, MapHandle, Object};
use std::io;

/// Declares a list of maps, generic over how a map is held (`StepMaps<MapHandle>`). The fields have
/// the names of the maps in `bpf/`. `via` names a macro that borrows the maps of any skeleton:
/// `borrow_step_maps!(skel.maps, &)`. The first argument is a `$` for that macro.
macro_rules! map_list {
    (
        ($d:tt)
        $(#[$doc:meta])*
        $visibility:vis struct $list:ident via $borrow:ident {
            $($(#[$about:meta])* $map:ident,)+
        }
    ) => {
        $crate::kernel::bpf::map_list::map_list! {
            $(#[$doc])*
            $visibility struct $list {
                $($(#[$about])* $map,)+
            }
        }

        macro_rules! $borrow {
            ($maps:expr, $d($borrowed:tt)+) => {
                $list { $($map: $d($borrowed)+ $maps.$map,)+ }
            };
        }
        pub(crate) use $borrow;
    };
    (
        $(#[$doc:meta])*
        $visibility:vis struct $list:ident {
            $($(#[$about:meta])* $map:ident,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        $visibility struct $list<M> {
            $($(#[$about])* pub $map: M,)+
        }

        impl<M> $list<M> {
            /// What `find` finds for each name.
            ///
            /// # Errors
            /// The error of `find`.
            pub fn find<E>(find: impl Fn(&'static str) -> Result<M, E>) -> Result<Self, E> {
                Ok($list { $($map: find(stringify!($map))?,)+ })
            }

            /// Each map with its name.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, &M)> {
                [$((stringify!($map), &self.$map),)+].into_iter()
            }
        }
    };
}
pub(crate) use map_list;

/// The name under which user space knows the variables of an object.
pub(crate) const DATA: &str = "data";

/// The map of a loaded object that has this name in `bpf/`, or [`DATA`].
///
/// # Errors
/// The object has no such map.
pub(crate) fn of_object(object: &Object, name: &'static str) -> Result<MapHandle, KernelError> {
    let failed = |cause| KernelError::Read { map: name, cause };
    let maps = object.maps().map(|map| (map.name().to_string_lossy().into_owned(), map));
    let map = named(maps, name)
        .ok_or_else(|| failed(io::Error::other("the object has no such map").into()))?;
    MapHandle::try_from(&map).map_err(failed)
}

/// The one of these maps, each with libbpf's name for it, that has this name.
fn named<M>(maps: impl IntoIterator<Item = (String, M)>, name: &str) -> Option<M> {
    // libbpf calls the section of variables after the object: `enforce_.bss`, say.
    let is_it = |of_map: &str| {
        of_map == name
            || (name == DATA
                && of_map.rsplit_once('.').is_some_and(|(_, section)| section == "bss"))
    };
    maps.into_iter().find_map(|(of_map, map)| is_it(&of_map).then_some(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    map_list! {
        /// Two maps.
        struct Two {
            cells,
            counters,
        }
    }

    fn find(name: &'static str) -> Result<usize, &'static str> {
        let maps = ["cells", "enforce_.bss", "counters"].map(String::from);
        named(maps.into_iter().zip(0..), name).ok_or(name)
    }

    #[test]
    fn a_list_finds_each_map_by_its_own_name() {
        let found = Two::find(find).map(|two| two.each().map(|(n, m)| (n, *m)).collect::<Vec<_>>());
        assert_eq!(found, Ok(vec![("cells", 0), ("counters", 2)]));
        assert_eq!(find(DATA), Ok(1));
    }

    #[test]
    fn a_name_that_the_object_lacks_is_no_other_maps() {
        for misspelt in ["cell", "cellss", "bss", ""] {
            assert_eq!(find(misspelt), Err(misspelt));
        }
    }
}
