//! A policy as a picture: for Graphviz, as an SVG, and as a page of one file. Renders text, prints
//! nothing.
//!
//! | file | its one idea |
//! |---|---|
//! | `graph` | a machine as nodes and edges |
//! | `kind` | what a call is about |
//! | `ring` | where a node stands and how an edge runs |
//! | `drawing` | the graph as SVG elements |
//! | `heat` | the from×to map |
//! | `rare` | the table of transitions, the rarest first |
//! | `facts` | what a policy says of itself |
//! | `dot`, `svg`, `page` | the three files that can be asked for |
//! | `page.js`, `page.css`, `drawing.css` | what the page and the drawing carry with them |

mod dot;
mod drawing;
mod escape;
mod facts;
mod graph;
mod heat;
mod kind;
mod page;
mod rare;
mod ring;
mod scale;
mod svg;
#[cfg(test)]
mod test_policy;

pub use dot::dot;
pub use page::page;
pub use svg::svg;
