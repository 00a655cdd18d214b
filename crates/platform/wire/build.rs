//! Compiles `proto/` with protox, so that nobody needs protoc.

use std::path::{Path, PathBuf};

use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// The packages of which a second form is made, see [`lend`].
const LENT: [&str; 2] = ["switchyard.common.v1", "switchyard.events.v1"];

/// What stands in a commit beside its events: the same in both forms.
const SHARED: [&str; 4] = ["Consumed", "Answered", "Parked", "Note"];

/// What nobody reads in its second form: an event's envelope is looked at where it stands.
const UNREAD: [&str; 2] = ["Event", "Cause"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from("../../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root.join("switchyard"), &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("switchyard.binpb"), compiler.encode_file_descriptor_set())?;
    let descriptors = compiler.file_descriptor_set();
    let lent = out.join("lent");
    std::fs::create_dir_all(&lent)?;
    let mut second = tonic_prost_build::configure().bytes(".").out_dir(lent);
    for name in SHARED {
        second = second.extern_path(
            format!(".switchyard.events.v1.{name}"),
            format!("crate::events::v1::{name}"),
        );
    }
    second.compile_fds(lend(descriptors.clone()))?;
    tonic_prost_build::configure()
        .btree_map(".")
        .bytes(".switchyard.events.v1.Event.data")
        .bytes(".switchyard.admin.v1.LogRecord.data")
        // Slices of the record that every watch of a change shares.
        .bytes(".switchyard.intake.v1.TicketChange.data")
        .bytes(".switchyard.sla.v1.ClockChange.data")
        .compile_fds(descriptors)?;
    Ok(())
}

/// The same messages for who reads many and keeps little: texts are slices of what is read, maps are lists of their
/// entries, in the order in which they stand there, and a commit's events are left as they are.
fn lend(mut descriptors: FileDescriptorSet) -> FileDescriptorSet {
    descriptors.file.retain(|file| LENT.contains(&file.package()));
    for file in &mut descriptors.file {
        file.source_code_info = None;
        file.message_type.retain(|message| !UNREAD.contains(&message.name()));
        file.message_type.iter_mut().for_each(lend_message);
        file.message_type.iter_mut().filter(|it| it.name() == "Commit").for_each(leave_events);
    }
    descriptors
}

fn leave_events(commit: &mut DescriptorProto) {
    for field in commit.field.iter_mut().filter(|field| field.name() == "events") {
        field.set_type(Type::Bytes);
        field.type_name = None;
    }
}

fn lend_message(message: &mut DescriptorProto) {
    for field in &mut message.field {
        if field.r#type() == Type::String {
            field.set_type(Type::Bytes);
        }
    }
    if let Some(options) = &mut message.options {
        options.map_entry = None;
    }
    message.nested_type.iter_mut().for_each(lend_message);
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
