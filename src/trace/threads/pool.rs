//! A store of values by key. Values are counted by their users, slots are reused, and a key never
//! names a later value of its slot.

/// Names a value of a [`Pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    at: u32,
    age: u32,
}

#[derive(Debug)]
struct Slot<T> {
    age: u32,
    users: u32,
    value: Option<T>,
}

/// Values by key. [`Pool::add`] and [`Pool::share`] add a user, [`Pool::release`] takes one away. A
/// value without users is dropped.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Pool<T> {
    pub(crate) fn new() -> Self {
        Pool { slots: Vec::new(), free: Vec::new() }
    }

    fn slot(&self, key: Key) -> Option<&Slot<T>> {
        self.slots.get(usize::try_from(key.at).ok()?).filter(|s| s.age == key.age)
    }

    fn slot_mut(&mut self, key: Key) -> Option<&mut Slot<T>> {
        self.slots.get_mut(usize::try_from(key.at).ok()?).filter(|s| s.age == key.age)
    }

    pub(crate) fn add(&mut self, value: T) -> Key {
        if let Some(at) = self.free.pop()
            && let Some(slot) = usize::try_from(at).ok().and_then(|i| self.slots.get_mut(i))
        {
            slot.users = 1;
            slot.value = Some(value);
            return Key { at, age: slot.age };
        }
        let at = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot { age: 0, users: 1, value: Some(value) });
        Key { at, age: 0 }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slot(key)?.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slot_mut(key)?.value.as_mut()
    }

    /// Adds a user.
    pub(crate) fn share(&mut self, key: Key) -> Key {
        if let Some(slot) = self.slot_mut(key) {
            slot.users += 1;
        }
        key
    }

    pub(crate) fn users(&self, key: Key) -> u32 {
        self.slot(key).map_or(0, |s| s.users)
    }

    /// Takes a user away.
    pub(crate) fn release(&mut self, key: Key) {
        let Some(slot) = self.slot_mut(key) else { return };
        slot.users = slot.users.saturating_sub(1);
        if slot.users == 0 {
            slot.value = None;
            slot.age = slot.age.wrapping_add(1);
            self.free.push(key.at);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0_u32..)
            .zip(&self.slots)
            .filter_map(|(at, s)| Some((Key { at, age: s.age }, s.value.as_ref()?)))
    }

    /// The number of slots, used or not.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.iter().map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_names_a_later_tenant() {
        let mut pool = Pool::new();
        let a = pool.add('a');
        pool.share(a);
        pool.release(a);
        assert_eq!((pool.get(a), pool.users(a)), (Some(&'a'), 1));
        pool.release(a);
        let b = pool.add('b');
        assert_eq!((pool.get(a), pool.get(b)), (None, Some(&'b')));
        pool.release(a);
        assert_eq!(pool.keys(), [b]);
    }
}
