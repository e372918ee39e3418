//! The items as points.

use plotly::color::Rgba;
use plotly::common::{Font, Line, Marker, MarkerSymbol, Mode};
use plotly::layout::{Axis, HoverMode, ItemSizing, LayoutScene, Legend};
use plotly::{Plot, Scatter, Scatter3D};

use super::Figure;
use super::layout::{HIGH, faded, faded_in_space, layout, legend_name, plain_axis};
use crate::report::summary::{Component, Map, MapKind, Summary};
use crate::report::{Section, palette, text};

/// Above this many points the map is drawn with WebGL.
const MOST_SVG_POINTS: usize = 3_000;

/// The points of one component on a map.
struct Cloud<'a> {
    component: &'a Component,
    /// Places in the lists of the map.
    places: Vec<usize>,
}

impl Cloud<'_> {
    fn of<T: Clone>(&self, values: &[T]) -> Vec<T> {
        self.places.iter().map(|&at| values[at].clone()).collect()
    }

    /// The places of its items in the table.
    fn ids(&self, map: &Map) -> Vec<String> {
        let items = self.places.iter().map(|&at| map.items[at].to_string());
        items.collect()
    }

    fn hover(&self, summary: &Summary, map: &Map) -> Vec<String> {
        let items = &summary.items;
        let words = |&at: &usize| {
            let item = map.items[at];
            let certainty = text::percent(items.responsibilities[item]);
            let name = text::for_plotly(&items.names[item]);
            format!("{name}<br>certainty {certainty}")
        };
        self.places.iter().map(words).collect()
    }

    fn marker(&self, summary: &Summary, map: &Map, faded: fn(usize, f64) -> Rgba) -> Marker {
        let k = self.component.index;
        let certainty = |&at: &usize| summary.items.responsibilities[map.items[at]];
        let colours = self.places.iter().map(|at| faded(k, certainty(at)));
        Marker::new().color_array(colours.collect())
    }
}

fn clouds<'a>(summary: &'a Summary, map: &Map) -> Vec<Cloud<'a>> {
    let mut places = vec![Vec::new(); summary.n_components()];
    for (at, &item) in map.items.iter().enumerate() {
        places[summary.items.components[item]].push(at);
    }
    let clouds = summary.components.iter().zip(places);
    clouds
        .map(|(component, places)| Cloud { component, places })
        .collect()
}

const HOVER: &str = "%{hovertext}<extra>%{fullData.name}</extra>";
const CENTRE_HOVER: &str = "mean direction of %{fullData.name}<extra></extra>";

/// The items of a map in two dimensions, coloured by component; `ids` are their places in the table.
pub fn map_2d(summary: &Summary, map: &Map) -> Figure {
    let webgl = map.items.len() > MOST_SVG_POINTS;
    let mut plot = Plot::new();
    for cloud in clouds(summary, map) {
        let k = cloud.component.index;
        plot.add_trace(
            Scatter::new(cloud.of(&map.x), cloud.of(&map.y))
                .web_gl_mode(webgl)
                .mode(Mode::Markers)
                .name(legend_name(cloud.component))
                .legend_group(k.to_string())
                .show_legend(map.centres.is_empty())
                .ids(cloud.ids(map))
                .marker(
                    cloud
                        .marker(summary, map, faded)
                        .symbol(palette::symbol(k))
                        .size(6),
                )
                .hover_text_array(cloud.hover(summary, map))
                .hover_template(HOVER),
        );
    }
    for (component, [x, y, _]) in summary.components.iter().zip(&map.centres) {
        plot.add_trace(
            Scatter::new(vec![*x], vec![*y])
                .web_gl_mode(webgl)
                .mode(Mode::Markers)
                .name(legend_name(component))
                .legend_group(component.index.to_string())
                .marker(
                    centre(component)
                        .symbol(palette::symbol(component.index))
                        .size(15),
                )
                .hover_template(CENTRE_HOVER),
        );
    }
    plot.set_layout(
        layout(HIGH)
            .x_axis(axis(map, 0))
            .y_axis(axis(map, 1).scale_anchor("x"))
            .hover_mode(HoverMode::Closest)
            .show_legend(summary.n_components() > 1)
            .legend(legend()),
    );
    let id = match map.kind {
        MapKind::Pca => "map_pca_2d",
        MapKind::Discriminant => "map_discriminant_2d",
        MapKind::Tsne => "map_tsne_2d",
    };
    figure(summary, map, id, webgl, plot)
}

/// The items of a map in three dimensions, mean directions as rings that hide none of them; `None` if the map has two.
pub fn map_3d(summary: &Summary, map: &Map) -> Option<Figure> {
    let id = match map.kind {
        _ if map.z.is_empty() => return None,
        MapKind::Pca => "map_pca_3d",
        MapKind::Discriminant => "map_discriminant_3d",
        MapKind::Tsne => "map_tsne_3d",
    };
    let mut plot = Plot::new();
    for cloud in clouds(summary, map) {
        plot.add_trace(
            Scatter3D::new(cloud.of(&map.x), cloud.of(&map.y), cloud.of(&map.z))
                .mode(Mode::Markers)
                .name(legend_name(cloud.component))
                .legend_group(cloud.component.index.to_string())
                .show_legend(map.centres.is_empty())
                .ids(cloud.ids(map))
                .marker(cloud.marker(summary, map, faded_in_space).size(3))
                .hover_text_array(cloud.hover(summary, map))
                .hover_template(HOVER),
        );
    }
    for (component, [x, y, z]) in summary.components.iter().zip(&map.centres) {
        plot.add_trace(
            Scatter3D::new(vec![*x], vec![*y], vec![*z])
                .mode(Mode::Markers)
                .name(legend_name(component))
                .legend_group(component.index.to_string())
                .marker(centre(component).symbol(MarkerSymbol::CircleOpen).size(14))
                .hover_template(CENTRE_HOVER),
        );
    }
    let short = |axis: usize| plain_axis(&axis_name(axis));
    let scene = LayoutScene::new()
        .x_axis(short(0))
        .y_axis(short(1))
        .z_axis(short(2));
    plot.set_layout(
        layout(HIGH)
            .scene(scene)
            .show_legend(summary.n_components() > 1)
            .legend(legend()),
    );
    Some(figure(summary, map, id, false, plot))
}

fn figure(summary: &Summary, map: &Map, id: &str, webgl: bool, plot: Plot) -> Figure {
    let keeps = match map.kind {
        MapKind::Pca => {
            "The map keeps the directions along which the items differ most, so groups that overlap here may be apart in the \
             full space."
        }
        MapKind::Discriminant => {
            "The map keeps the directions along which the components' mean directions differ most, so groups are drawn as far \
             apart as a flat map can."
        }
        MapKind::Tsne => {
            "The map keeps neighbours beside each other (t-SNE); how far apart groups lie, and how large they are drawn, means \
             nothing."
        }
    };
    let shown = match map.items.len() {
        n if n < summary.n_items => format!(
            " {} of {} items are drawn: a random sample of each component, small ones more fully.",
            text::count(n),
            text::count(summary.n_items)
        ),
        _ => String::new(),
    };
    let centres = match map.centres.is_empty() {
        true => "",
        false => "; large outlined markers, or rings, are mean directions",
    };
    Figure {
        id: id.to_owned(),
        title: "Map of the items".to_owned(),
        how_to_read: format!(
            "Each point is an item, coloured by its component and fainter where membership is less certain{centres}. \
             {keeps}{shown}"
        ),
        alt: format!(
            "Scatter plot of {} in {}.",
            text::counted(map.items.len(), "item"),
            text::counted(summary.n_components(), "component")
        ),
        height: HIGH,
        is_wide: true,
        uses_webgl_shaders: webgl,
        section: Section::Map,
        plot,
    }
}

fn legend() -> Legend {
    Legend::new()
        .item_sizing(ItemSizing::Constant)
        .font(Font::new().size(12))
}

/// The marker of a mean direction.
fn centre(component: &Component) -> Marker {
    Marker::new()
        .color(palette::colour(component.index))
        .line(Line::new().width(2.0).color("#ffffff"))
}

fn axis_name(axis: usize) -> String {
    format!("axis {}", axis + 1)
}

fn axis(map: &Map, axis: usize) -> Axis {
    let name = axis_name(axis);
    let of = match map.kind {
        MapKind::Discriminant => "of the variance between components",
        _ => "of the variance",
    };
    let title = match map.explained_variance_ratio.get(axis) {
        Some(&share) => format!("{name} ({} {of})", text::percent(share)),
        None => name,
    };
    plain_axis(&title)
}
