//! The stack machine of a pickle, which makes data and calls nothing.
//!
//! Values lie in one list and refer to each other by number, as references of Python do: what a program repeats takes no
//! room twice, and nothing nests so deeply that freeing it would exhaust the stack. Time and memory are at most
//! proportional to the program's length.
//!
//! Opcodes: CPython, `Lib/pickletools.py`; those of protocols 2 to 4 that have to do with tensors.

use std::collections::HashMap;

/// What a program may name besides the storages of `torch`.
const HARMLESS: [(&str, &str); 6] = [
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch.nn.parameter", "Parameter"),
];

/// Longest name of a module, a function or a class.
const MAX_NAME: usize = 256;

/// Most values that a program may make: those of the largest models make some ten thousand.
const MAX_VALUES: usize = 1 << 22;

/// The number of a value.
pub(super) type Id = usize;

/// A value of Python's.
pub(super) enum Value {
    /// A function or a class, by its name alone: only harmless ones get here.
    Global(String),
    Text(String),
    Integer(i64),
    /// A tuple or a list.
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// What a function or class would make of its arguments.
    Call {
        callable: Id,
        arguments: Id,
    },
    /// Something beside the program, by its key.
    Persistent(Id),
    /// What plays no part: `None`, a truth value, a number with a fraction, bytes.
    Other,
}

/// Why a program is not taken.
pub(super) enum Flaw {
    /// It names what has nothing to do with tensors.
    Foreign {
        module: String,
        name: String,
    },
    Damaged(&'static str),
}

/// A program that takes more from the stack than there is.
const NOT_THERE: Flaw = Flaw::Damaged("its program takes what is not there");

/// The values that a program made.
pub(super) struct Program {
    values: Vec<Value>,
    result: Id,
}

impl Program {
    /// Follows a program to its end.
    ///
    /// # Errors
    /// [`Flaw`].
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Flaw> {
        let mut machine = Machine {
            bytes,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while machine.step()? {
            if machine.values.len() > MAX_VALUES {
                return Err(Flaw::Damaged("its program makes too many values"));
            }
        }
        let result = machine.pop()?;
        Ok(Program {
            values: machine.values,
            result,
        })
    }

    /// What the program made in the end.
    pub(super) fn result(&self) -> Id {
        self.result
    }

    pub(super) fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }
}

struct Machine<'a> {
    /// What is left of the program.
    bytes: &'a [u8],
    values: Vec<Value>,
    stack: Vec<Id>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    /// Does what the next opcode says, and tells whether another follows.
    fn step(&mut self) -> Result<bool, Flaw> {
        let opcode = self.byte()?;
        match opcode {
            b'.' => return Ok(false),
            // PROTO, FRAME
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            // NONE, NEWTRUE, NEWFALSE, BINFLOAT, SHORT_BINBYTES, BINBYTES
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'G' => self.skip(8)?,
            b'C' => {
                let length = self.byte()?.into();
                self.skip(length)?;
            }
            b'B' => {
                let length = self.number(4)? as usize;
                self.skip(length)?;
            }
            // BININT1, BININT2, BININT, LONG1
            b'K' => self.integer(1)?,
            b'M' => self.integer(2)?,
            b'J' => {
                let integer = self.number(4)? as u32 as i32;
                self.push(Value::Integer(integer.into()));
            }
            0x8a => match self.byte()? {
                0 => self.push(Value::Integer(0)),
                length @ 1..=8 => {
                    let unused = 64 - 8 * u32::from(length);
                    let integer = (self.number(length.into())? << unused) as i64 >> unused;
                    self.push(Value::Integer(integer));
                }
                length => self.skip(length.into())?,
            },
            // SHORT_BINUNICODE, BINUNICODE, SHORT_BINSTRING
            0x8c | b'U' => {
                let length = self.byte()?.into();
                self.text(length)?;
            }
            b'X' => {
                let length = self.number(4)? as usize;
                self.text(length)?;
            }
            // EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT
            b')' | b']' => self.push(Value::Sequence(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            // TUPLE, LIST, TUPLE1, TUPLE2, TUPLE3
            b't' | b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Sequence(items));
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let below = self.stack.len().checked_sub(count);
                let below = below.ok_or(NOT_THERE)?;
                let items = self.stack.split_off(below);
                self.push(Value::Sequence(items));
            }
            // DICT, SETITEM, SETITEMS, APPEND, APPENDS
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()));
                self.set(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => {
                let key = self.number(1)? as u32;
                self.remember(key)?;
            }
            b'r' => {
                let key = self.number(4)? as u32;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => {
                let key = self.number(1)? as u32;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.number(4)? as u32;
                self.recall(key)?;
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop_name()?, self.pop_name()?);
                self.global(module, name)?;
            }
            // REDUCE, NEWOBJ, BUILD, BINPERSID
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let callable = self.pop()?;
                let is_dict = matches!(
                    &self.values[callable],
                    Value::Global(name) if name == "OrderedDict" || name == "defaultdict"
                );
                self.push(match is_dict {
                    true => Value::Dict(Vec::new()),
                    false => Value::Call {
                        callable,
                        arguments,
                    },
                });
            }
            // The attributes of an object, as the versions of modules in a state dictionary.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let key = self.pop()?;
                self.push(Value::Persistent(key));
            }
            _ => return Err(Flaw::Damaged("its program has an unknown opcode")),
        }
        Ok(true)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, Flaw> {
        self.stack.pop().ok_or(NOT_THERE)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Flaw> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => Err(Flaw::Damaged("its program lacks a mark")),
        }
    }

    /// A name from the stack.
    fn pop_name(&mut self) -> Result<String, Flaw> {
        let id = self.pop()?;
        match &self.values[id] {
            Value::Text(text) if text.len() <= MAX_NAME => Ok(text.clone()),
            _ => Err(Flaw::Damaged("its program names something by no name")),
        }
    }

    /// The value on top of the stack.
    fn top(&self) -> Result<Id, Flaw> {
        let top = self.stack.last().copied();
        top.ok_or(NOT_THERE)
    }

    /// Puts keys and values, which alternate, into the dictionary on top.
    fn set(&mut self, items: Vec<Id>) -> Result<(), Flaw> {
        let top = self.top()?;
        let Value::Dict(entries) = &mut self.values[top] else {
            return Err(Flaw::Damaged(
                "its program takes something for a dictionary",
            ));
        };
        let (pairs, []) = items.as_chunks() else {
            return Err(Flaw::Damaged("its program has a key without a value"));
        };
        entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Flaw> {
        let top = self.top()?;
        let Value::Sequence(sequence) = &mut self.values[top] else {
            return Err(Flaw::Damaged("its program takes something for a list"));
        };
        sequence.extend(items);
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<(), Flaw> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), Flaw> {
        let id = self.memo.get(&key);
        let id = *id.ok_or(Flaw::Damaged("its program recalls what it never kept"))?;
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self, module: String, name: String) -> Result<(), Flaw> {
        let is_storage = module == "torch" && name.ends_with("Storage");
        if !is_storage && !HARMLESS.contains(&(module.as_str(), name.as_str())) {
            return Err(Flaw::Foreign { module, name });
        }
        self.push(Value::Global(name));
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Flaw> {
        let (taken, left) = self
            .bytes
            .split_at_checked(count)
            .ok_or(Flaw::Damaged("its program ends too early"))?;
        self.bytes = left;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Flaw> {
        Ok(self.take(1)?[0])
    }

    /// A number of up to eight bytes, the lowest first.
    fn number(&mut self, count: usize) -> Result<u64, Flaw> {
        let mut bytes = [0; 8];
        bytes[..count].copy_from_slice(self.take(count)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn integer(&mut self, count: usize) -> Result<(), Flaw> {
        let integer = self.number(count)? as i64;
        self.push(Value::Integer(integer));
        Ok(())
    }

    /// A value that plays no part.
    fn skip(&mut self, count: usize) -> Result<(), Flaw> {
        self.take(count)?;
        self.push(Value::Other);
        Ok(())
    }

    fn text(&mut self, count: usize) -> Result<(), Flaw> {
        let text = String::from_utf8_lossy(self.take(count)?).into_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    /// A name that ends with its line.
    fn line(&mut self) -> Result<String, Flaw> {
        let end = self
            .bytes
            .iter()
            .take(MAX_NAME)
            .position(|byte| *byte == b'\n');
        let end = end.ok_or(Flaw::Damaged("its program ends too early"))?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.byte()?;
        Ok(line)
    }
}
