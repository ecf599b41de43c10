//! Curves as SVG.

use plotters::prelude::*;
use std::path::Path;
use thiserror::Error;

/// A plot could not be drawn or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {reason}")]
pub struct PlotError {
    /// The file.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// Curves over the same axes, both logarithmic.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot<'a> {
    /// What is above it.
    pub title: &'a str,
    /// What varies.
    pub across: &'a str,
    /// What depends on it.
    pub up: &'a str,
    /// The curves.
    pub curves: Vec<Curve>,
}

const SIZE: (u32, u32) = (760, 460);
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 90, 181), RGBColor(220, 50, 32), RGBColor(0, 130, 90), RGBColor(150, 90, 170)];

impl Plot<'_> {
    /// Writes it to a file.
    ///
    /// # Errors
    /// [`PlotError`].
    pub fn write(&self, path: &Path) -> Result<(), PlotError> {
        let failed = |reason: String| PlotError { path: path.display().to_string(), reason };
        self.draw(path).map_err(|e| failed(e.to_string()))
    }

    fn draw(&self, path: &Path) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let all = || self.curves.iter().flat_map(|curve| curve.points.iter().copied());
        let (left, right) = range(all().map(|(x, _)| x));
        let (low, high) = range(all().map(|(_, y)| y));
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((left..right).log_scale(), (low / 1.5..high * 1.5).log_scale())?;
        chart
            .configure_mesh()
            .x_desc(self.across)
            .y_desc(self.up)
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .light_line_style(RGBColor(240, 240, 240))
            .draw()?;
        for (curve, colour) in self.curves.iter().zip(COLOURS.iter().cycle()) {
            let points = curve.points.iter().copied();
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
                .label(curve.name.clone())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(180, 180, 180))
            .draw()?;
        root.present()
    }
}

/// The smallest and the largest; from 1 to 2 where there is none.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = values.fold(none, |(low, high), v| (low.min(v), high.max(v)));
    if low < high { (low, high) } else { (1.0, 2.0) }
}

fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.0} M", v / 1e6),
        v if v >= 1e3 => format!("{:.0} k", v / 1e3),
        v if v >= 1.0 => format!("{v:.0}"),
        v => format!("{v}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Curve, Plot};
    use tempfile::TempDir;

    #[test]
    fn a_plot_is_an_svg_with_its_curves() {
        let dir = TempDir::new().unwrap();
        let curve = |name: &str| Curve {
            name: name.to_owned(),
            points: vec![(16.0, 1.0), (256.0, 0.5), (4096.0, 0.01)],
        };
        let curves = vec![curve("3 servers"), curve("5 servers")];
        let plot = Plot { title: "Title", across: "Across", up: "Up", curves };
        let path = dir.path().join("plot.svg");
        plot.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.trim_start().starts_with("<svg"), "{text}");
        for part in ["Title", "Across", "Up", "3 servers", "5 servers", "<polyline"] {
            assert!(text.contains(part), "{part}");
        }
        assert!(plot.write(&dir.path().join("none").join("plot.svg")).is_err());
    }
}
