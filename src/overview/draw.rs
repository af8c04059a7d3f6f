//! Draws the page.
//!
//! Invariant: pure, and fits any terminal: what does not fit is cut, and the row with the cursor is always to be seen.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span, Text},
    widgets::{Paragraph, Wrap},
};

use super::{
    keys::{Focus, View},
    page::{Body, ImageState, Item, Section},
};
use crate::printer::{Colour, printable};

/// How wide the names of sections are.
const NAMES: usize = 13;

/// Draws `view` on the whole terminal.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, colour: Colour) {
    let area = frame.area();
    let paint = Paint { colour };
    let image = image_lines(&view.page.image, paint);
    let is_high = area.height >= 12;
    let image_height = if is_high {
        u16::try_from(image.len().min(6) + 1).unwrap_or(2)
    } else {
        u16::from(area.height >= 7)
    };
    let [head, middle, below, message, foot] = Layout::vertical([
        Constraint::Length(match (is_high, view.page.typed.is_empty()) {
            (true, true) => 3,
            (true, false) => 4,
            (false, _) => 1,
        }),
        Constraint::Min(1),
        Constraint::Length(image_height),
        Constraint::Length(u16::from(view.message.is_some())),
        Constraint::Length(1),
    ])
    .areas(area);
    let page = &view.page;
    let mut title = vec![Line::styled(printable(&page.title), strong())];
    title.push(Line::styled(printable(&page.project), paint.dim()));
    if !page.typed.is_empty() {
        let typed = format!("and what was typed: {}", page.typed);
        title.push(Line::styled(printable(&typed), paint.value()));
    }
    frame.render_widget(Text::from(title), head);
    let (lines, cursor) = match &view.focus {
        Focus::List(at) => (list_lines(view, paint, middle), *at),
        Focus::Open { section, row } | Focus::Typing { section, row, .. } => {
            (section_lines(view, *section), *row + 1)
        }
    };
    frame.render_widget(Text::from(visible(lines, cursor, middle)), middle);
    frame.render_widget(Paragraph::new(image).wrap(Wrap { trim: false }), below);
    if let Some(text) = &view.message {
        frame.render_widget(Line::styled(printable(text), paint.warning()), message);
    }
    frame.render_widget(Line::styled(help(view), paint.dim()), foot);
}

/// Cuts lines so that the cursor's is to be seen.
fn visible(lines: Vec<Line<'_>>, cursor: usize, area: Rect) -> Vec<Line<'_>> {
    let height = usize::from(area.height).max(1);
    let from = (cursor + 1).saturating_sub(height);
    lines.into_iter().skip(from).take(height).collect()
}

fn list_lines<'a>(view: &View, paint: Paint, area: Rect) -> Vec<Line<'a>> {
    let width = usize::from(area.width);
    let Focus::List(here) = view.focus else {
        return Vec::new();
    };
    let sections = view.page.sections.iter().enumerate();
    sections
        .map(|(at, section)| {
            let name = format!("{} {:<NAMES$}", mark(at, here), section.title);
            let room = width.saturating_sub(name.chars().count());
            let summary = cut(&printable(&section.summary()), room);
            let line = Line::from(vec![Span::raw(name), Span::styled(summary, paint.value())]);
            if at == here {
                line.style(strong())
            } else {
                line
            }
        })
        .collect()
}

fn section_lines<'a>(view: &View, at: usize) -> Vec<Line<'a>> {
    let Some(section) = view.page.sections.get(at) else {
        return Vec::new();
    };
    let mut lines = vec![Line::styled(section.title, strong())];
    let here = match &view.focus {
        Focus::Open { row, .. } | Focus::Typing { row, .. } => *row,
        Focus::List(_) => 0,
    };
    let typed = match &view.focus {
        Focus::Typing { text, .. } => Some(text.as_str()),
        _ => None,
    };
    lines.extend((0..section.rows()).map(|row| {
        let line = Line::raw(format!(
            "{} {}",
            mark(row, here),
            row_text(section, row, typed.filter(|_| row == here))
        ));
        if row == here {
            line.style(strong())
        } else {
            line
        }
    }));
    lines
}

fn row_text(section: &Section, row: usize, typed: Option<&str>) -> String {
    let described = |item: &Item| {
        let refused = item
            .refused
            .as_ref()
            .map(|why| format!(" [{why}]"))
            .unwrap_or_default();
        let gap = if item.description.is_empty() {
            ""
        } else {
            "  "
        };
        printable(&format!("{}{gap}{}{refused}", item.name, item.description))
    };
    match &section.body {
        Body::One { items, chosen } => {
            let dot = if row == *chosen { "(*)" } else { "( )" };
            let text = items.get(row).map(described).unwrap_or_default();
            format!("{dot} {text}")
        }
        Body::Ordered { items, chosen } => {
            let place = chosen.iter().position(|&there| there == row);
            let place = place.map_or_else(|| " ".to_owned(), |place| (place + 1).to_string());
            let text = items.get(row).map(described).unwrap_or_default();
            format!("[{place}] {text}")
        }
        Body::Switches { items } => {
            let (text, is_on) = items
                .get(row)
                .map(|(item, is_on)| (described(item), *is_on))
                .unwrap_or_default();
            format!("[{}] {text}", if is_on { "x" } else { " " })
        }
        Body::Lines { lines, prompt } => match (typed, lines.get(row)) {
            (Some(typed), _) => format!("{prompt}: {}_", printable(typed)),
            (None, Some(line)) => printable(line),
            (None, None) => "+ add".to_owned(),
        },
        Body::Text { text, prompt } => {
            format!("{prompt}: {}_", printable(typed.unwrap_or(text)))
        }
    }
}

fn image_lines<'a>(image: &ImageState, paint: Paint) -> Vec<Line<'a>> {
    match image {
        ImageState::Asking => vec![Line::styled("Image: looking …", paint.dim())],
        ImageState::Failed(why) => {
            vec![Line::styled(
                format!("Image: {}", printable(why)),
                paint.warning(),
            )]
        }
        ImageState::Known(lines) => lines
            .iter()
            .enumerate()
            .map(|(at, line)| {
                let lead = if at == 0 { "Image: " } else { "       " };
                Line::raw(format!("{lead}{}", printable(line)))
            })
            .collect(),
    }
}

fn help(view: &View) -> String {
    match &view.focus {
        Focus::List(_) => format!(
            "Enter {}   Up/Down move   Space change   Esc quit",
            view.page.verb
        ),
        Focus::Typing { .. } => "Enter keep   Esc back   Ctrl-U empty".to_owned(),
        Focus::Open { section, .. } => {
            let body = view
                .page
                .sections
                .get(*section)
                .map(|section| &section.body);
            match body {
                Some(Body::One { .. }) => "Enter choose   Up/Down move   Esc back",
                Some(Body::Lines { .. }) => "Enter change   Del remove   Esc back",
                _ => "Space on/off   Enter done   Up/Down move",
            }
            .to_owned()
        }
    }
}

/// Marks the row with the cursor.
fn mark(row: usize, cursor: usize) -> &'static str {
    if row == cursor { ">" } else { " " }
}

fn cut(text: &str, width: usize) -> String {
    if unicode_width::UnicodeWidthStr::width(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut kept = String::new();
    for c in text.chars() {
        let wide = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if wide > left {
            break;
        }
        left -= wide;
        kept.push(c);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// How things are painted; without colours weight alone tells them apart.
#[derive(Clone, Copy)]
struct Paint {
    colour: Colour,
}

impl Paint {
    fn of(self, colour: Color) -> Style {
        match self.colour {
            Colour::Always => Style::new().fg(colour),
            Colour::Never => Style::new(),
        }
    }

    fn dim(self) -> Style {
        match self.colour {
            Colour::Always => Style::new().add_modifier(Modifier::DIM),
            Colour::Never => Style::new(),
        }
    }

    fn value(self) -> Style {
        self.of(Color::Cyan)
    }

    fn warning(self) -> Style {
        self.of(Color::Yellow)
    }
}
